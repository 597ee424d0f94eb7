//! One file per command: its arguments, what it calls, how it is shown.
