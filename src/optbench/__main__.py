"""`python -m optbench`."""

from optbench.commands.main import main

if __name__ == "__main__":
    main()
