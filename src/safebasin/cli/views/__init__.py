"""How each command runs and what it prints, under the name of the command."""
