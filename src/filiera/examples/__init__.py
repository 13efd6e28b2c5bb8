"""Examples that ship with filiera; `filiera init --example NAME` copies one."""
