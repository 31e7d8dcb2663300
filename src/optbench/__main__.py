"""`python -m optbench`: the command `optbench`, also for processes that start themselves again."""

from optbench.commands.main import main

if __name__ == "__main__":
    main()
