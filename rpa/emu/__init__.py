"""The emulators: `step` one clock at a time, `fast` one command at a time; both exact."""
