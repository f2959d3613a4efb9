<?php
declare(strict_types=1);

require __DIR__ . '/inc/page.php';

$heading = '__HEADING__';
echo page($heading);
