"""From a campaign file to a plan, and from a plan to stored launches."""
