"""`python -m safebasin` is the `safebasin` command."""

from safebasin.cli import main

if __name__ == "__main__":
    main()
