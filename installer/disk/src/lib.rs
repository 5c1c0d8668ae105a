//! The one disk layout of media and machines: GPT, ESP, boot entries.
