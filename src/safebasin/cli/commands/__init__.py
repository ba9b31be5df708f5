"""The commands with their options. Each says what it is told; its view does the rest."""
