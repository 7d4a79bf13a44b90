"""From bytes to a Plan: the room where what a person wrote becomes what the house may act on."""
