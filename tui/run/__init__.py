"""Room: builds, starts and stops the program."""
