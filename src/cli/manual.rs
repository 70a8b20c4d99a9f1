//! `tailwater completions` and `tailwater man`: made from the command line's own texts.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::exit::{Exit, Failure};

/// What `tailwater completions` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "For bash: tailwater completions bash > \
/usr/share/bash-completion/completions/tailwater")]
pub struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// What `tailwater man` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "To read it: tailwater man | man -l -")]
pub struct ManArgs {
    /// Write a page for each command into this folder instead
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

/// Prints the completions of `command`.
///
/// # Errors
/// When standard output cannot be written to.
pub fn completions(args: &CompletionsArgs, command: &mut Command) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, command, "tailwater", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Exit::Done)
}

/// Prints the page of `command`, or writes the pages of all commands.
///
/// # Errors
/// When standard output or the folder cannot be written to.
pub fn man(args: &ManArgs, command: Command) -> Result<Exit, Failure> {
    if let Some(folder) = &args.to {
        let wrote = std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder));
        wrote.with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
        return Ok(Exit::Done);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    std::io::stdout().write_all(&page)?;
    Ok(Exit::Done)
}
