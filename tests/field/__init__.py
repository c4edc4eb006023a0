"""What public manifests and users' scripts do in a launcher, tried on both Open MPI generations."""
