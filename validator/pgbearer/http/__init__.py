"""The only place that makes outbound HTTP: bounded size and time, no redirects, our CA."""
