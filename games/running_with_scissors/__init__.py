"""Running-with-scissors: rock-paper-scissors with inventories, played in space and in the dark."""
