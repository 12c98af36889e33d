//! What a person sees when a program is wrong.
