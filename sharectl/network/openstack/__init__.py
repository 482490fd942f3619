"""What the plugins for OpenStack's services share: the account, the session, and how answers become errors."""
