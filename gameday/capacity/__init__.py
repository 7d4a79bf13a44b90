"""How a rate is judged and a limit searched for: pure, shared by the engine and the checkers."""
