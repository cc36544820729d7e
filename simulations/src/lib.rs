//! A federation in one thread, where everything that can fail does, and the made-up banks it
//! is tried on. `population` invents payments and `generate` writes them to files; `stage`,
//! `pooled` and `judge` set up and judge the demo. `learn` measures what learning together is
//! worth, and `results` writes it down; `world` is where federations are broken. Each subcommand
//! answers by `print`.

pub mod generate;
#[cfg(feature = "learning")]
pub mod judge;
#[cfg(feature = "learning")]
pub mod learn;
#[cfg(feature = "learning")]
pub mod pooled;
pub mod population;
mod print;
#[cfg(feature = "learning")]
pub mod results;
pub mod stage;
pub mod world;
