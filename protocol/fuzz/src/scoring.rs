//! The agent's door of requests and labels, as it stands in `client-agent/src/scoring`, without the
//! agent: nothing of it needs libtorch, a journal or a thread, and nothing here is a copy. Whatever
//! these files come to need of their crate has to lie in one of them, or be named here.

#![expect(
    dead_code,
    reason = "half of what these files say is for the rest of the agent"
)]

#[path = "../../../client-agent/src/scoring/labels/body.rs"]
mod labels;
#[path = "../../../client-agent/src/scoring/problem.rs"]
mod problem;
#[path = "../../../client-agent/src/scoring/request.rs"]
mod request;
#[path = "request.rs"]
pub(crate) mod target;
#[path = "../../../client-agent/src/scoring/times.rs"]
mod times;
