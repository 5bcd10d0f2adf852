"""The commands: each file is one kind. Nothing heavy is imported before a command needs it."""
