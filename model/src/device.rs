//! Where libtorch computes: the processor, or a CUDA device where this libtorch has one. Only the
//! choice lives here, and how a tensor gets there; what is computed is in `forward`.
//!
//! Every draw comes from the terms' own stream, so devices differ in the order of their sums and in
//! nothing else. One live payment is always scored on the processor, by `kernel`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tch::{Cuda, Tensor};

use crate::error::ModelError;

/// A device of libtorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Device {
    /// The processor.
    #[default]
    Cpu,
    /// The first CUDA device.
    Cuda,
}

impl Device {
    /// Whether this process can compute on it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Cpu => true,
            Self::Cuda => Cuda::is_available(),
        }
    }

    /// Refuses a device that this process cannot compute on: to be asked once, at the start.
    ///
    /// # Errors
    /// [`ModelError::NoCuda`], which says what is needed.
    pub fn check(self) -> Result<(), ModelError> {
        match self.is_available() {
            true => Ok(()),
            false => Err(ModelError::NoCuda),
        }
    }

    /// A tensor of the processor, moved here.
    pub(crate) fn hold(self, tensor: Tensor) -> Result<Tensor, ModelError> {
        match self {
            Self::Cpu => Ok(tensor),
            Self::Cuda => Ok(tensor.f_to(tch::Device::Cuda(0))?),
        }
    }
}

impl FromStr for Device {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            other => Err(ModelError::Device {
                found: other.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_as_it_is_written_and_another_is_refused() {
        for device in [Device::Cpu, Device::Cuda] {
            assert_eq!(device.to_string().parse::<Device>().unwrap(), device);
            let json = serde_json::to_string(&device).unwrap();
            assert_eq!(json, format!("\"{device}\""));
        }
        let error = "tpu".parse::<Device>().unwrap_err().to_string();
        assert_eq!(error, "found the device \"tpu\", expected cpu or cuda");
    }

    #[test]
    fn the_processor_is_always_there_and_cuda_is_refused_where_it_is_not() {
        assert!(Device::Cpu.check().is_ok());
        if Cuda::is_available() {
            assert!(Device::Cuda.check().is_ok());
            return;
        }
        let error = Device::Cuda.check().unwrap_err().to_string();
        let begin = "found no CUDA device in this libtorch, expected one: ";
        assert!(error.starts_with(begin), "{error}");
    }
}
