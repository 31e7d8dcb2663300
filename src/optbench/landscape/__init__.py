"""The loss on a plane through weight space: trajectories -> plane -> grid."""
