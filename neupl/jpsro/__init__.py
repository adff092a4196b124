"""NeuPL-JPSRO: one network whose strategies grow by responses to a joint meta-strategy (Liu et al.
2024, arXiv 2401.05133), for any number of players and any sums of payoffs.
"""
