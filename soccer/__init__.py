"""Humanoid soccer: robot, pitch, tasks and measurement protocols, on `games.mujoco_host`."""
