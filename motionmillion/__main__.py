"""`python -m motionmillion`: the command line, where the script `motionmillion` is not on the path."""

from motionmillion.cli import main

if __name__ == "__main__":
    main()
