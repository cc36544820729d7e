//! Writes the seeds of every target into `corpus`: run it in the fuzz folder after a change of
//! the wire. What they are is `protocol_fuzz::seeds`.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    for (target, name, bytes) in protocol_fuzz::seeds() {
        let folder = Path::new("corpus").join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
