//! The client dialect: JSON-RPC 2.0 envelope, a closed set of methods, shapes of their parameters and results.
