"""Tools run by hand; the service never imports them."""
