"""The analog model of NOR-flash macros: what a device does to integer sums of products, and what helps (`docs/design.md`, section 16)."""
