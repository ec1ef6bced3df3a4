//! The command line: one file per subcommand. Owns arguments and what they print; decides nothing itself.

pub mod check;
