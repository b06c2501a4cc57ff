"""The rules of notifications, pure. Start reading at ``mails.TEMPLATES``, then ``notification.record``."""
