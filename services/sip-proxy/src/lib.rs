//! Stateful record-routing SIP proxy: numbers, routes, carriers, failover.
