"""Bridges: our games as PettingZoo environments, and dm_control's soccer as a game."""
