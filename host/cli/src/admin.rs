//! Questions to the three processes through their admin sockets.
