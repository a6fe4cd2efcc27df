"""Events and spikes: encoders and event files. This room knows no other room."""
