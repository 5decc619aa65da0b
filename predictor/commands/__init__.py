"""The commands of the command line, one file for those of one job."""
