"""The tables of the papers: trainings of hours, run by researchers."""
