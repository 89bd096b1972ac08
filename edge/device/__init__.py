"""What the kit knows about the machine that it runs on."""
