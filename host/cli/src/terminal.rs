//! What a person types and nobody shall see.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::failure::{Exit, Failure};
use crate::output;

/// One line from the terminal, not shown while it is typed. `otherwise` says what to do where there
/// is none.
pub(crate) fn prompt(label: &str, otherwise: &str) -> Result<Zeroizing<String>, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::of(
            Exit::Usage,
            format!("standard input is no terminal; {otherwise}"),
        ));
    }
    let failed = |error: rustix::io::Errno| Failure::new(format!("the terminal: {error}"));
    let before = tcgetattr(&stdin).map_err(failed)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    let _ = write!(std::io::stderr(), "{label}: ");
    tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(failed)?;
    let mut line = Zeroizing::new(String::with_capacity(512));
    let read = stdin.lock().read_line(&mut line);
    let restored = tcsetattr(&stdin, OptionalActions::Now, &before);
    output::error_line("");
    read?;
    restored.map_err(failed)?;
    Ok(without_end_of_line(&line))
}

/// The first line of standard input, for scripts.
pub(crate) fn first_line_of_input() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(512));
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(without_end_of_line(&line))
}

fn without_end_of_line(line: &str) -> Zeroizing<String> {
    Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
}
