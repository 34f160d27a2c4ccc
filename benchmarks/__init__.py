"""What the design promises, measured. `make bench` runs all; each file is one benchmark with `run(quick)`."""
