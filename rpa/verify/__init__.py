"""The proof that stepping emulator, fast emulator and RTL are one machine: random programs, comparison, lockstep, soak."""
