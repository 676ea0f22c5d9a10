"""Against the errors: what is done before programming, while programming, and in the field."""
