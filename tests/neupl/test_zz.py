def test_x(kuhn_run):
    print([ (int(s.num_admitted), int(s.learner.step)) for s in kuhn_run.states])
    print([e.nash_conv for e in kuhn_run.evaluations])
    print([l["train/regret_nats"] for l in kuhn_run.lines])
def test_y(three_player_run):
    print([ (int(s.num_admitted), int(s.learner.step)) for s in three_player_run.states])
    print([e.nash_conv for e in three_player_run.evaluations])
