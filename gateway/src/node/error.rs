// SPDX-License-Identifier: GPL-2.0-only
// Copyright (C) 2026 The Constellation developers

//! Why a node gave no answer, and whether it may have done what it was asked.

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NodeError {
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    #[error("refuses connections")]
    Refused,
    #[error("has no connection free")]
    Busy,
    #[error("did not answer in time")]
    Silent,
    #[error("ended the connection without an answer")]
    Broken,
    #[error("cannot be asked: {0}")]
    Unaskable(String),
}

impl NodeError {
    /// Whether the node may have got the request: then nobody can say what became of it.
    pub(crate) fn may_have_happened(&self) -> bool {
        match self {
            Self::Silent | Self::Broken => true,
            Self::Unreachable(_) | Self::Refused | Self::Busy | Self::Unaskable(_) => false,
        }
    }

    /// A word for the metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Refused => "unreachable",
            Self::Busy => "busy",
            Self::Silent => "silent",
            Self::Broken => "broken",
            Self::Unaskable(_) => "unaskable",
        }
    }
}
