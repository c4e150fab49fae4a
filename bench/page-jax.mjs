// A file of its own, so that the page works for the others where jax-js is not installed.
export * from "@jax-js/jax";
