//! Fuzz targets, and a mutation loop that runs them for a short while in the test command.
