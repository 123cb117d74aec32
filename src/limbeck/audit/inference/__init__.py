"""Statistical inference: what the attack scores show, and how sure that is."""
